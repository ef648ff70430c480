"""What each sub-command of `antiphon` does, given its parsed options: a function of its name in one of these modules."""
