Feature: Logs are indexed
  Each operation that the application acknowledged can be found by its id, once, where one would look for it.

  Scenario: No acknowledged operation lacks its line
    Given the healthy stack
    Then each acknowledged operation has its line, in the index of its day, with its fields

  Scenario: Fields can be searched and compared as what they are
    Given the healthy stack
    Then each field has its declared type
