# What `firedrill alerts` runs.
Feature: Every alert is proved
  From a cause to whoever must be notified, and to the end of it; and what nothing is wrong with stays silent.

  Scenario: Every declared alert is proved by a drill of the stack
    Given the healthy stack
    When every drill of the stack is run
    Then each drill's alerts fire within their budgets, reach their receivers and resolve
    And each fault bites and leaves, and nothing beyond its blast radius fires
    And every declared alert is quiet while nothing is wrong

  Scenario: Alerting says that it is alive
    Given the healthy stack
    Then each dead man's switch keeps arriving
