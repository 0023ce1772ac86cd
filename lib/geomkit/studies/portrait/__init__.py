"""What is remarkable about one model's hidden states, or about two models' differences, on one corpus?

`measure.py` reads the states of a model and of its nulls, an untrained twin and shuffled text. `analyse.py` and `compare.py` turn
them into one table, with an interval over documents beside each value. `page.py` and `figure.py` show the table.
Outputs: results/portraits/{model}/{corpus}.html, .pdf, .parquet and .csv, and the same for {model}-vs-{model}.
"""
