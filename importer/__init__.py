"""Bulk importer of spreadsheet rows into LeadSquared as account activities."""
