"""Was this row created? Looked up in LeadSquared, and decided."""
