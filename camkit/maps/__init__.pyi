from .arrays import overlay as overlay, unit as unit, upsample as upsample
from .attribution import (
    ablation_cam as ablation_cam,
    eigen_cam as eigen_cam,
    fuse as fuse,
    grad_cam as grad_cam,
    grad_cam_plus_plus as grad_cam_plus_plus,
    hires_cam as hires_cam,
    integrated_gradients as integrated_gradients,
    layer_cam as layer_cam,
    occlusion as occlusion,
    score_cam as score_cam,
)
from .cam import CAM as CAM, CamOutput as CamOutput
from .transformers import attention_rollout as attention_rollout, legrad as legrad
from .what_if import FlipSet as FlipSet, flip_set as flip_set, strike as strike
