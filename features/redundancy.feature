@redundant
Feature: Servers that stand in for each other
  A second server helps only if it sees the same, if it is known to the others, and if nobody is
  notified twice because of it.

  Scenario: Metrics servers that scrape the same are told apart, and one alert stays one
    Given the healthy stack
    Then labels of their own tell the metrics servers apart
    And the alert managers hold each alert once, whichever metrics server sent it

  Scenario: Alert managers are one cluster, and each is sent every alert
    Given the healthy stack
    Then the alert managers are one cluster with one configuration
    And each metrics server sends its alerts to each alert manager
    And each state of a group of alerts is notified once, from whichever alert manager
