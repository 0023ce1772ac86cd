"""One folder for each question: what is measured, the rows, the analysis, the claims and the figure."""
