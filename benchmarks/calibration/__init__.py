"""Coverage of every interval the package offers, against known truth."""
