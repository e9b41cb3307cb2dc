"""Row statistics to joint posterior draws, and the crossing to labelled data."""
