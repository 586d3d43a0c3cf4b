"""Made-up series: what they are worth when, how their labels read, and the text they are written as."""
