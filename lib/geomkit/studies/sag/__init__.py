"""What makes the widest models fall below projection: tokens per direction, tokens per parameter, depth, or one training?

Answered by the sag of the pair model at lengths that are fixed and that follow the width, and by what trainings beside the
ladder say of depth and tokens (docs/protocol_results.md, what makes the widest models fall below projection).
Outputs: results/sag/, results/sag.pdf, on request.
"""
