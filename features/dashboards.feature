Feature: Dashboards show data
  Scenario: No panel is empty
    Given the healthy stack
    Then each panel's query returns data

  Scenario: Data sources answer
    Given the healthy stack
    Then each data source is healthy
