# SPDX-License-Identifier: Apache-2.0
"""Reproducible comparisons of Drover with what people would otherwise use."""
