"""Made-up series: what they are worth when, and the text they are written as."""
