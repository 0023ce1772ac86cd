include: "workflow/Snakefile"


# an include does not pass on which rule is the default one
workflow.default_target = "all"
