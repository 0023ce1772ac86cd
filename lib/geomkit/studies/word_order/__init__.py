"""What does word order do to the effective rank, does it do more in larger models, and does the loss follow?

Answered by text beside text that is shuffled in blocks of 1 to 16 tokens (docs/protocol_results.md, word order).
Outputs: results/shuffled_blocks/, results/word_order.csv, results/word_order_laws.csv, results/word_order.pdf.
"""
