from .intervals import Interval as Interval, interval as interval
from .result import Analysis as Analysis, load_analysis as load_analysis
from .run import analyze as analyze
