Feature: The stack is healthy
  Before anything is broken, everything that the stack consists of must work: a drill on a stack that was
  broken to begin with proves nothing.

  Scenario: Every service becomes ready and stays up
    Given the healthy stack
    Then every service is ready

  Scenario: Every documented health endpoint answers
    Given the healthy stack
    Then each documented health endpoint answers

  Scenario: The load can be believed
    Given the healthy stack
    Then the load kept its schedule
