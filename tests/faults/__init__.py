"""Batches sent to a tenant with faults, and its truth held against what the importer says."""
