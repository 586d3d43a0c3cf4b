"""What every way in has in common: a body and its items, what is wrong with one, answers, and sending again."""
