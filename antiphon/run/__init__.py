"""Recipes: compose a config, pretrain, evaluate, write the run folder. Only `antiphon.run.config` sees Hydra."""
