Feature: The mini stack
  What can be asked of a stack without logs, traces, dashboards and traffic.

  Scenario: It is healthy
    Given the healthy stack
    Then every service is ready
    And each documented health endpoint answers

  Scenario: Its metrics are scraped
    Given the healthy stack
    Then every target is up and fresh
    And each expected series is present
    And each service has metrics, or is named as having none
    And the servers run with the configuration they were last given

  Scenario: Nothing fires while nothing is wrong
    Given the healthy stack
    Then every declared alert is quiet while nothing is wrong

  Scenario: Every drill raises its alerts
    Given the healthy stack
    When every drill of the stack is run
    Then each drill's alerts fire within their budgets, reach their receivers and resolve
    And each fault bites and leaves, and nothing beyond its blast radius fires
