from .arrays import overlay as overlay
from .arrays import upsample as upsample
from .attribution import (
    ablation_cam as ablation_cam,
)
from .attribution import (
    eigen_cam as eigen_cam,
)
from .attribution import (
    fuse as fuse,
)
from .attribution import (
    grad_cam as grad_cam,
)
from .attribution import (
    grad_cam_plus_plus as grad_cam_plus_plus,
)
from .attribution import (
    hires_cam as hires_cam,
)
from .attribution import (
    integrated_gradients as integrated_gradients,
)
from .attribution import (
    layer_cam as layer_cam,
)
from .attribution import (
    occlusion as occlusion,
)
from .attribution import (
    score_cam as score_cam,
)
from .cam import CAM as CAM
from .cam import CamOutput as CamOutput
