from . import (
    analysis as analysis,
)
from . import (
    atlas as atlas,
)
from . import (
    faults as faults,
)
from . import (
    images as images,
)
from . import (
    localize as localize,
)
from . import (
    maps as maps,
)
from . import (
    models as models,
)
from . import (
    plots as plots,
)
from . import (
    scenes as scenes,
)
from . import (
    whole_object as whole_object,
)
from .analysis.result import Analysis as Analysis
from .analysis.result import load_analysis as load_analysis
from .analysis.run import analyze as analyze
from .atlas.notebook import error_atlas as error_atlas
from .atlas.page import write_atlas as write_atlas
from .faults import data_faults as data_faults
from .images.decoding import read_image as read_image
from .images.image_set import (
    ImageSet as ImageSet,
)
from .images.image_set import (
    load_images as load_images,
)
from .maps.arrays import overlay as overlay
from .maps.arrays import upsample as upsample
from .maps.attribution import (
    ablation_cam as ablation_cam,
)
from .maps.attribution import (
    eigen_cam as eigen_cam,
)
from .maps.attribution import (
    fuse as fuse,
)
from .maps.attribution import (
    grad_cam as grad_cam,
)
from .maps.attribution import (
    grad_cam_plus_plus as grad_cam_plus_plus,
)
from .maps.attribution import (
    hires_cam as hires_cam,
)
from .maps.attribution import (
    integrated_gradients as integrated_gradients,
)
from .maps.attribution import (
    layer_cam as layer_cam,
)
from .maps.attribution import (
    occlusion as occlusion,
)
from .maps.attribution import (
    score_cam as score_cam,
)
from .maps.cam import CAM as CAM
from .maps.cam import CamOutput as CamOutput
from .models._graph import HeadError as HeadError
from .models.backbones import backbone as backbone
from .models.classifier import gap_classifier as gap_classifier
from .models.classifier import train_head as train_head

# The names of version 1.0.0, see `__init__.py`.
attribution = maps
cam = maps

__version__: str
