Feature: The stack recovers
  Scenario: After healing all is as before
    Given the healthy stack
    Then latency and error rate are inside the baseline, before the drills and after them
