Feature: Alerts fire, reach people and resolve
  An alert that nobody tested does not fire.

  Scenario: Nothing fires while nothing is wrong
    Given the healthy stack
    Then every declared alert is quiet while nothing is wrong

  Scenario: Alerting says that it is alive
    Given the healthy stack
    Then each dead man's switch keeps arriving

  @stack:email
  Scenario Outline: <alert> notices that <what>
    Given the healthy stack
    When drill "<drill>" is run
    Then alert <alert> fires within its budget, reaches its receivers and resolves
    And its fault bites and leaves, and nothing beyond its blast radius fires

    Examples:
      | alert               | drill                  | what                                                |
      | EmailServiceDown    | email_service_stopped  | the e-mail service is gone                          |
      | PostfixDown         | postfix_stopped        | Postfix does not answer while its exporter lives    |
      | DovecotDown         | dovecot_stopped        | Dovecot does not answer                             |
      | HighErrorRate       | database_refuses       | the database refuses the service's connections      |
      | HighRequestLatency  | database_slow          | each packet to the database is late                 |
      | CeleryQueueBackup   | workers_stop_consuming | workers consume nothing while their metrics live    |
      | CeleryWorkerOffline | worker_stopped         | the worker is gone                                  |
      | CeleryBeatDown      | beat_stopped           | beat is gone                                        |
      | RedisEvictions      | redis_evicts           | Redis evicts keys                                   |

  @stack:tracseq @stack:tracseq-next
  Scenario: Every drill raises its alerts, or names what nobody is notified of
    Given the healthy stack
    When every drill of the stack is run
    Then each drill's alerts fire within their budgets, reach their receivers and resolve
    And each fault bites and leaves, and nothing beyond its blast radius fires
    And somebody is notified in each drill that takes a service away, or the gap is declared

  @stack:other
  Scenario: Every drill of the stack raises its alerts
    Given the healthy stack
    When every drill of the stack is run
    Then each drill's alerts fire within their budgets, reach their receivers and resolve
    And each fault bites and leaves, and nothing beyond its blast radius fires
    And each target stays scraped in each drill that is about no alert
