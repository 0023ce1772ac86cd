"""Does a metric of hidden states go with scores of benchmarks?

Answered by the rank correlation, over models, of a measured metric and a score of lm-evaluation-harness, with an interval that
holds for few models. Another program has scored the models, so no workflow runs this study: `geomkit.join_lm_eval` joins both
(docs/library.md).
Outputs: a table (.csv) and a figure (.pdf), where they are asked for.
"""
