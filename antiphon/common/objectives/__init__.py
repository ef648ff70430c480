"""Contrastive objectives: pure functions on tensors, and thin modules around them.

Where a function and its module share a name (`info_nce`, `moco`), the name is here the function; the module is reached by a
from-import.
"""

from antiphon.common.objectives.base import Objective, PairObjective, ViewOutputs, ViewsObjective
from antiphon.common.objectives.cacr import cacr
from antiphon.common.objectives.conr import ConR, conr
from antiphon.common.objectives.cross_modal import Clip, Cwcl, SigLip, clip, cosine_weights, cwcl, siglip
from antiphon.common.objectives.feature_transformation import FeatureTransformation, feature_transformation
from antiphon.common.objectives.group_whitening import WhitenedCSE, group_whiten, whitened_cse
from antiphon.common.objectives.hard_negatives import hcl
from antiphon.common.objectives.hierarchical import Hierarchical, hierarchical
from antiphon.common.objectives.info_nce import dcl, info_nce, nt_xent
from antiphon.common.objectives.margins import LearnedMargin, ScheduledMargin, SimoMargin, cosine_margin, simo_margin
from antiphon.common.objectives.mean_shifted import MeanShifted, mean_shifted
from antiphon.common.objectives.mochi import MoCHi, mochi
from antiphon.common.objectives.moco import MoCo, MoCoV3, moco, moco_v3
from antiphon.common.objectives.multi_view import dhel, mv_dhel, mv_info_nce
from antiphon.common.objectives.non_negative import non_negative, rep_relu
from antiphon.common.objectives.predictive import CPC, cpc
from antiphon.common.objectives.protoclr import ProtoCLR, protoclr
from antiphon.common.objectives.prototypes import SwAV, sinkhorn, swav
from antiphon.common.objectives.redundancy import barlow_twins, vicreg
from antiphon.common.objectives.self_distillation import Dino, DirectPredictor, SelfDistillation, byol, dino, direct_weight, simsiam
from antiphon.common.objectives.sepclr import SepCLR, gaussian_uniformity, joint_entropy, sepclr
from antiphon.common.objectives.soft import (
    StageSoftContrast,
    soft_instance_weights,
    soft_temporal_weights,
    softclt,
    softclt_instance,
    softclt_temporal,
)
from antiphon.common.objectives.sogclr import ISogCLR, SogCLR, isogclr, sogclr
from antiphon.common.objectives.sorting import groco
from antiphon.common.objectives.supervised import SupCon, supcon
from antiphon.common.objectives.supremix import SupReMix, supremix
from antiphon.common.objectives.temperature import LearnedScale, PlainScale
from antiphon.common.objectives.uniformity import align_uniform, alignment, cross_uniformity, uniformity

__all__ = [
    "CPC",
    "Clip",
    "ConR",
    "Cwcl",
    "Dino",
    "DirectPredictor",
    "FeatureTransformation",
    "Hierarchical",
    "ISogCLR",
    "LearnedMargin",
    "LearnedScale",
    "MeanShifted",
    "MoCHi",
    "MoCo",
    "MoCoV3",
    "Objective",
    "PairObjective",
    "PlainScale",
    "ProtoCLR",
    "ScheduledMargin",
    "SelfDistillation",
    "SepCLR",
    "SigLip",
    "SimoMargin",
    "SogCLR",
    "StageSoftContrast",
    "SupCon",
    "SupReMix",
    "SwAV",
    "ViewOutputs",
    "ViewsObjective",
    "WhitenedCSE",
    "align_uniform",
    "alignment",
    "barlow_twins",
    "byol",
    "cacr",
    "clip",
    "conr",
    "cosine_margin",
    "cosine_weights",
    "cpc",
    "cross_uniformity",
    "cwcl",
    "dcl",
    "dhel",
    "dino",
    "direct_weight",
    "feature_transformation",
    "gaussian_uniformity",
    "groco",
    "group_whiten",
    "hcl",
    "hierarchical",
    "info_nce",
    "isogclr",
    "joint_entropy",
    "mean_shifted",
    "mochi",
    "moco",
    "moco_v3",
    "mv_dhel",
    "mv_info_nce",
    "non_negative",
    "nt_xent",
    "protoclr",
    "rep_relu",
    "sepclr",
    "siglip",
    "simo_margin",
    "simsiam",
    "sinkhorn",
    "soft_instance_weights",
    "soft_temporal_weights",
    "softclt",
    "softclt_instance",
    "softclt_temporal",
    "sogclr",
    "supcon",
    "supremix",
    "swav",
    "uniformity",
    "vicreg",
    "whitened_cse",
]
