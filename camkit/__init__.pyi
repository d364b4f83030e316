from . import (
    analysis as analysis,
    atlas as atlas,
    export as export,
    faults as faults,
    images as images,
    localize as localize,
    maps as maps,
    models as models,
    plots as plots,
    scenes as scenes,
    trust as trust,
    whole_object as whole_object,
)
from .analysis.compare import Comparison as Comparison, compare as compare
from .analysis.intervals import Interval as Interval, interval as interval
from .analysis.result import Analysis as Analysis, load_analysis as load_analysis
from .analysis.run import analyze as analyze
from .atlas.notebook import error_atlas as error_atlas
from .atlas.page import write_atlas as write_atlas
from .atlas.playground import write_playground as write_playground
from .atlas.review import Review as Review, load_verdicts as load_verdicts
from .faults import data_faults as data_faults
from .faults.slices import error_slices as error_slices
from .images.decoding import read_image as read_image
from .images.image_set import ImageSet as ImageSet
from .images.loading import load_images as load_images
from .maps.arrays import overlay as overlay, upsample as upsample
from .maps.attribution import (
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
from .maps.cam import CAM as CAM, CamOutput as CamOutput
from .maps.transformers import attention_rollout as attention_rollout, legrad as legrad
from .maps.what_if import FlipSet as FlipSet, flip_set as flip_set, strike as strike
from .models._graph import HeadError as HeadError
from .models.backbones import backbone as backbone
from .models.classifier import gap_classifier as gap_classifier, train_head as train_head
from .models.imagenet import imagenet_classifier as imagenet_classifier
from .trust.judging import Judgement as Judgement, judge as judge

# The names of version 1.0.0, see `__init__.py`.
attribution = maps
cam = maps

__version__: str
