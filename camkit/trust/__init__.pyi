from .judging import Judgement as Judgement, judge as judge
