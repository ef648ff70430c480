"""Contrastive objectives: pure functions on tensors, and thin modules around them.

`info_nce` and `hierarchical` are here the functions; the modules of the same names are reached by a from-import.
"""

from antiphon.common.objectives.base import Objective, PairObjective, ViewOutputs, ViewsObjective
from antiphon.common.objectives.hierarchical import Hierarchical, hierarchical
from antiphon.common.objectives.info_nce import SupCon, dcl, info_nce, nt_xent, supcon
from antiphon.common.objectives.soft import (
    StageSoftContrast,
    soft_instance_weights,
    soft_temporal_weights,
    softclt,
    softclt_instance,
    softclt_temporal,
)

__all__ = [
    "Hierarchical",
    "Objective",
    "PairObjective",
    "StageSoftContrast",
    "SupCon",
    "ViewOutputs",
    "ViewsObjective",
    "dcl",
    "hierarchical",
    "info_nce",
    "nt_xent",
    "soft_instance_weights",
    "soft_temporal_weights",
    "softclt",
    "softclt_instance",
    "softclt_temporal",
    "supcon",
]
