from geomkit.ladder.names import expand as trainings_of
from geomkit.core.trainings import CELL, cell_recipe, grid_cells, ladder_models

LADDER = ladder_models(config["ladder"]["runs"])
CONTROLS = [
    str(training)
    for groups in config["ladder"]["controls"].values()
    for group in groups
    for training in trainings_of(group)
]
STEPPED = [str(training) for training in trainings_of(config["ladder"]["steps"])]


rule ladder:
    input:
        "results/ladder/training_runs.csv",
        "results/ladder/README.md",


rule ladder_tokenizer:
    input:
        corpus=f"results/corpora/{config['ladder']['corpus']}.parquet",
    output:
        "results/ladder/tokenizer/tokenizer_config.json",
        tokenizer="results/ladder/tokenizer/tokenizer.json",
    log:
        "results/logs/ladder/tokenizer.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.ladder.training:prepare_tokenizer",
            recipe=config["ladder"]["recipe"],
        ),
    message:
        "Training the ladder's tokenizer"
    script:
        "../scripts/run.py"


rule ladder_model:
    input:
        corpus=f"results/corpora/{config['ladder']['corpus']}.parquet",
        tokenizer="results/ladder/tokenizer/tokenizer_config.json",
    output:
        "results/ladder/{more}ladder-{width}-s{seed}/config.json",
        weights="results/ladder/{more}ladder-{width}-s{seed}/model.safetensors",
        curve="results/ladder/{more}curves/ladder-{width}-s{seed}.csv",
    log:
        "results/logs/ladder/{more}ladder-{width}-s{seed}.log",
    wildcard_constraints:
        more="(more/)?",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=4000,
        runtime=480,
    params:
        **call(
            "geomkit.ladder.training:train_model",
            recipe=config["ladder"]["recipe"],
            device=config["compute"]["device"],
            # a file in results/ladder/checkpoints, not an output: Snakemake would remove an output before the run resumes
            checkpoint="ladder-{width}-s{seed}.safetensors",
        ),
    message:
        "Training ladder-{wildcards.width}-s{wildcards.seed}"
    script:
        "../scripts/run.py"


rule ladder_runs:
    input:
        tables=expand(
            "results/ladder/{more}curves/ladder-{width}-s{seed}.csv", zip, **LADDER
        ),
    output:
        output="results/ladder/training_runs.csv",
    log:
        "results/logs/ladder/training_runs.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.ladder.join:join_curves",
        ),
    message:
        "Joining the ladder's learning curves"
    script:
        "../scripts/run.py"


rule ladder_cell:
    input:
        corpus=f"results/corpora/{config['ladder']['corpus']}.parquet",
        tokenizer="results/ladder/tokenizer/tokenizer_config.json",
    output:
        output=f"results/ladder/cells/{CELL}.csv",
    log:
        f"results/logs/ladder/cells/{CELL}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=4000,
        runtime=480,
    params:
        **call(
            "geomkit.ladder.grid_training:train_cell",
            recipe=lambda wildcards: cell_recipe(
                config["ladder"]["recipe"],
                wildcards.tokens,
                wildcards.rate,
                wildcards.batch,
            ),
            primary=config["scaling"]["primary"],
            parameters=plan.parameters,
            device=config["compute"]["device"],
            checkpoint=f"{CELL}.safetensors",
        ),
    message:
        "Training width {wildcards.width} on {wildcards.unique} unique tokens, {wildcards.tokens} in all"
    script:
        "../scripts/run.py"


rule ladder_sweep:
    input:
        tables=expand(
            f"results/ladder/cells/{CELL}.csv",
            width=config["ladder"]["sweep"]["widths"],
            seed=0,
            unique="all",
            tokens=config["ladder"]["sweep"]["tokens"],
            rate=config["ladder"]["sweep"]["peak_rates"],
            batch=config["ladder"]["sweep"]["batches"],
        ),
    output:
        output="results/ladder/sweep.csv",
    log:
        "results/logs/ladder/sweep.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.ladder.join:join_sweep",
        ),
    message:
        "Joining the sweep of learning rates and batches"
    script:
        "../scripts/run.py"


rule ladder_grid:
    input:
        tables=expand(
            "results/ladder/cells/{cell}.csv",
            cell=grid_cells(config["ladder"]["grid"], config["ladder"]["recipe"]),
        ),
    output:
        output="results/ladder/training_grid.csv",
    log:
        "results/logs/ladder/training_grid.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.ladder.join:join_grid",
        ),
    message:
        "Joining the grid over model size and data"
    script:
        "../scripts/run.py"


rule ladder_control:
    input:
        corpus=f"results/corpora/{config['ladder']['corpus']}.parquet",
        tokenizer="results/ladder/tokenizer/tokenizer_config.json",
    output:
        "results/ladder/controls/{name}/model.safetensors",
        "results/ladder/controls/{name}/config.json",
        table="results/ladder/controls/losses/{name}.csv",
    log:
        "results/logs/ladder/controls/{name}.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        **GPU,
        mem_mb=4000,
        runtime=480,
    params:
        **call(
            "geomkit.ladder.controls:train_control",
            name="{name}",
            recipe=config["ladder"]["recipe"],
            device=config["compute"]["device"],
            checkpoint="control-{name}.safetensors",
        ),
    message:
        "Training {wildcards.name}"
    script:
        "../scripts/run.py"


use rule ladder_control as ladder_steps with:
    output:
        expand(
            "results/ladder/steps/{{name}}-step{step}/{file}",
            step=config["ladder"]["steps"]["at"],
            file=["model.safetensors", "config.json"],
        ),
        table="results/ladder/steps/losses/{name}.csv",
    log:
        "results/logs/ladder/steps/{name}.log",
    params:
        **call(
            "geomkit.ladder.controls:train_control",
            name="{name}",
            recipe=config["ladder"]["recipe"],
            device=config["compute"]["device"],
            checkpoint="steps-{name}.safetensors",
            keep=config["ladder"]["steps"]["at"],
        ),
    message:
        "Training {wildcards.name}, and saving its weights at {params.keep} steps"


rule ladder_controls:
    input:
        tables=expand("results/ladder/controls/losses/{name}.csv", name=CONTROLS),
    output:
        output="results/ladder/controls.csv",
    log:
        "results/logs/ladder/controls.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.ladder.join:join_controls",
        ),
    message:
        "Joining the losses of the trainings beside the ladder"
    script:
        "../scripts/run.py"


use rule ladder_controls as ladder_steps_table with:
    input:
        tables=expand("results/ladder/steps/losses/{name}.csv", name=STEPPED),
    output:
        output="results/ladder/steps.csv",
    log:
        "results/logs/ladder/steps.log",
    message:
        "Joining the losses at the steps with saved weights"


rule controls_measured:
    input:
        models=[
            *[
                relative(model.folder / "model.safetensors")
                for model in SHIPPED_LADDER
            ],
            *expand("results/ladder/controls/{name}/model.safetensors", name=CONTROLS),
        ],
        texts=f"results/texts/ladder/{config['ladder']['corpus']}.h5",
    output:
        output="results/ladder/controls.parquet",
    log:
        "results/logs/ladder/controls_measured.log",
    conda:
        "../../envs/geomkit.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        **call(
            "geomkit.ladder.control_metrics:measure_controls",
            states="geomkit.models.stream:runs_by_name",
            spec=settings.ModelSpec(
                device=config["compute"]["device"], dtype=config["compute"]["dtype"]
            ),
            batch_tokens=config["compute"]["batch_tokens"],
            dump=LAST_STATES,
            seed=config["seed"],
            corpus=config["ladder"]["corpus"],
            parameters=plan.parameters,
            family="controls",
            length=config["scaling"]["primary"]["length"],
            normalisation=config["scaling"]["primary"]["normalise"],
            metrics=config["scaling"]["primary"]["metrics"],
        ),
    message:
        "Measuring the ladder and the trainings beside it"
    script:
        "../scripts/run.py"


rule ladder_card:
    input:
        "results/ladder/tokenizer/tokenizer_config.json",
        models=expand(
            "results/ladder/{more}ladder-{width}-s{seed}/model.safetensors",
            zip,
            **LADDER,
        ),
        corpora=expand(
            "results/corpora/{corpus}.parquet", corpus=config["ladder"]["card"]
        ),
        template=relative(ROOT / "workflow/report/ladder_card.md"),
    output:
        losses="results/ladder/losses.csv",
        card="results/ladder/README.md",
    log:
        "results/logs/ladder/card.log",
    conda:
        "../../envs/geomkit.yaml"
    params:
        **call(
            "geomkit.ladder.model_card:write_card",
            splits=[
                config["corpora"][name].get("split", "all")
                for name in config["ladder"]["card"]
            ],
            home=config["ladder"]["corpus"],
            recipe=config["ladder"]["recipe"],
            device=config["compute"]["device"],
        ),
    message:
        "Writing the ladder's card"
    script:
        "../scripts/run.py"
