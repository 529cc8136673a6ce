Feature: Traces are sampled and complete
  A trace that lacks a part misleads, and a sampler that drops more than it says hides what matters.

  Scenario: A sampled operation is one trace across service, queue and worker
    Given the healthy stack
    Then each sampled operation is one complete trace

  Scenario: The sampler keeps the share that it states
    Given the healthy stack
    Then the share of sampled operations fits the stated rate
