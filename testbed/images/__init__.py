"""Container images for the test bed's real nodes, made from packages and files without a Docker daemon.

``build("engine")`` returns an `Image`, made now or long ago; ``push(image, "http://10.0.0.1:5000", "ai/engine")``
returns the reference by digest under which a node can pull it.
"""

from testbed.images.api import build, names
from testbed.images.oci import Image, unpack
from testbed.images.registry import push

__all__ = ["Image", "build", "names", "push", "unpack"]
