# SPDX-License-Identifier: Apache-2.0
"""The lab: hosts with a real libvirtd and droverd each, in namespaces of one machine."""
