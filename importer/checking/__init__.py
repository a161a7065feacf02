"""What check finds in a sheet: problems by column and kind, and the marked copy."""
