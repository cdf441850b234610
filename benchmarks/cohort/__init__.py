"""Cohorts in figures: throughput, overhead, memory, the state of a scheduler, and what cuts and kills do."""
