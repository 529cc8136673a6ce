Feature: Metrics are scraped
  A metric that nobody scrapes can't fire an alert.

  Scenario: Every target is up and fresh
    Given the healthy stack
    Then every target is up and fresh

  Scenario: The series that alerts and dashboards rest on exist
    Given the healthy stack
    Then each expected series is present

  Scenario: A service without metrics is named
    Given the healthy stack
    Then each service has metrics, or is named as having none

  Scenario: The configuration on disk is the one in force
    Given the healthy stack
    Then the servers run with the configuration they were last given
