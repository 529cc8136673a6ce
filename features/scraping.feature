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

  @stack:tracseq @stack:tracseq-next
  Scenario: A service that nobody thought of is named
    Given the healthy stack
    Then each service of the topology has metrics of its own, or is declared as having none yet

  @stack:tracseq @stack:tracseq-next
  Scenario: Samples are there when somebody looks back
    Given the healthy stack
    Then each metrics server keeps samples for as long as declared

  Scenario: The configuration on disk is the one in force
    Given the healthy stack
    Then the servers run with the configuration they were last given
