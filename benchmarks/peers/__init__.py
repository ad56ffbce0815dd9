"""What dockrion is measured against: the same agents and frames, served by what an expert writes by hand."""
