"""Flax models: layers, vector fields, blocks and whole classifiers."""

from jaxode.nn.classifiers import MLP as MLP
from jaxode.nn.classifiers import Classifier as Classifier
from jaxode.nn.classifiers import ODENet as ODENet
from jaxode.nn.classifiers import ResNet as ResNet
from jaxode.nn.classifiers import build_classifier as build_classifier
from jaxode.nn.classifiers import describe as describe
from jaxode.nn.classifiers import parameter_count as parameter_count
from jaxode.nn.iceberg import BandsNet as BandsNet
from jaxode.nn.iceberg import Dense as Dense
