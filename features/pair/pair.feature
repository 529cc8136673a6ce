@stack:pair
Feature: Two of each hold each other's place
  A second server that nobody tests is a first one that costs twice.

  Scenario: Both servers of a role do the same
    Given the healthy stack
    Then each server of a role has the declared targets, rules and routes
    And the servers' external labels differ, and their alerts are equal
    And the alert managers know each other

  Scenario: Nobody is notified twice while nothing is cut
    Given the healthy stack
    Then each state of a group is notified exactly once, by any alert manager

  Scenario Outline: <alert> notices that <what>
    Given the healthy stack
    When drill "<drill>" is run
    Then alert <alert> fires within its budget, reaches its receivers and resolves
    And its fault bites and leaves, and nothing beyond its blast radius fires

    Examples:
      | alert            | drill               | what                                           |
      | PrometheusDown   | prometheus_a_lost   | one Prometheus is gone                         |
      | AlertmanagerDown | alertmanager_a_lost | one Alertmanager has crashed                   |
      | PeersDisagree    | pair_cut            | the Alertmanagers don't reach each other       |
      | ExporterMissing  | exporter_2_down     | one of two instances has left discovery        |
      | ExporterDown     | exporter_2_frozen   | one of two instances is there and says nothing |

  Scenario: One Prometheus is lost, and everything else is still watched
    Given the healthy stack
    When drill "prometheus_a_lost" is run
    Then alert ExporterDown fires within its budget, reaches its receivers and resolves
    And each server that is not lost has every target and evaluates every rule
    And each state of a group is notified exactly once, by any alert manager

  Scenario: One Alertmanager is lost, and everybody is still notified
    Given the healthy stack
    When drill "alertmanager_a_lost" is run
    Then alert ExporterDown fires within its budget, reaches its receivers and resolves
    And each state of a group is notified at least once, and at most once by each alert manager

  Scenario: The Alertmanagers are cut from each other, and everybody is notified by either
    Given the healthy stack
    When drill "pair_cut" is run
    Then alert ExporterDown fires within its budget, reaches its receivers and resolves
    And each state of a group is notified at least once, and at most once by each alert manager
    And after the cut each state of a group is notified exactly once, by any alert manager

  Scenario: A fault on one instance does not touch the other
    Given the healthy stack
    When drill "exporter_2_down" is run
    Then the other instances of its service stay up
