"""Everything that a user's data or request can get wrong, as one tree.

::

    MMSubtypeError
    ├── SlideError
    │   ├── SlideOpenError          (OSError)      no backend can open the file
    │   ├── SlideReadError          (OSError)      pixels cannot be decoded
    │   │   ├── DamagedTileError                   the file is damaged in one place
    │   │   ├── SlideOutOfReachError               drive or system does not give it
    │   │   └── SlideChangedError                  the file is not the one opened
    │   ├── MissingPixelSizeError   (ValueError)   microns per pixel unknown
    │   ├── SlideTooSmallError      (ValueError)   smaller than one patch
    │   └── NoTissueError           (ValueError)   nothing to analyse on the slide
    ├── OmicsError
    │   ├── TableReadError          (ValueError)   no table, or not of this modality
    │   ├── UnmatchedSampleError    (LookupError)  patient absent or ambiguous
    │   └── UnmatchedFeaturesError  (LookupError)  too few features shared
    ├── BundleError                 (ValueError)   unknown or unusable bundle
    │   └── BundleIntegrityError                   hash, self-test or content refused
    ├── StoreError                  (OSError)      result store unreadable or unwritable
    │   ├── StoreOutOfReachError                   drive or system does not give it
    │   └── StoreInUseError                        another process writes to it
    ├── ComputeError
    │   ├── OutOfMemoryError                       not even one patch fits
    │   └── DeviceLostError                        the processor answers no more
    ├── ConfigurationError          (ValueError)   request that cannot be carried out
    ├── MissingDependencyError      (ImportError)  an optional library is needed
    └── JobCancelled                               the user stopped the job

A caller's programming mistake is a plain ``TypeError`` or ``ValueError``. Every message
names what was found, what was expected and what to do.
"""


class MMSubtypeError(Exception):
    """Root of the tree: anything a user can mend."""


class SlideError(MMSubtypeError):
    """A slide cannot serve the request."""


class SlideOpenError(SlideError, OSError):
    """No backend can open the file; the message lists each one tried and why."""


class SlideReadError(SlideError, OSError):
    """Pixels of an open slide cannot be decoded."""


class DamagedTileError(SlideReadError):
    """A stored tile of a slide cannot be decoded; others may."""


class SlideOutOfReachError(SlideReadError):
    """Drive, network or system does not give a tile; another time it may."""


class SlideChangedError(SlideReadError):
    """The file of an open slide was changed, replaced or removed."""


class MissingPixelSizeError(SlideError, ValueError):
    """The slide does not say how many microns a pixel is."""


class SlideTooSmallError(SlideError, ValueError):
    """The slide is smaller than one patch."""


class NoTissueError(SlideError, ValueError):
    """The slide shows no tissue to analyse."""


class OmicsError(MMSubtypeError):
    """An omics table cannot serve the request."""


class TableReadError(OmicsError, ValueError):
    """A file is not a table of the modality asked for."""


class UnmatchedSampleError(OmicsError, LookupError):
    """The patient is absent from a table, or several rows could be meant."""


class UnmatchedFeaturesError(OmicsError, LookupError):
    """A table and the model share too few features."""


class BundleError(MMSubtypeError, ValueError):
    """A model bundle is unknown, incomplete or unusable."""


class BundleIntegrityError(BundleError):
    """A bundle was altered, fails its self-test or holds refused content."""


class StoreError(MMSubtypeError, OSError):
    """A result store cannot be read or written."""


class StoreOutOfReachError(StoreError):
    """Drive, network or system do not give a result store, which may be sound."""


class StoreInUseError(StoreError):
    """Another analysis is writing to a result store."""


class ComputeError(MMSubtypeError):
    """The machine cannot go on with the networks."""


class OutOfMemoryError(ComputeError):
    """The network does not fit into the memory of the device."""


class DeviceLostError(ComputeError):
    """A processor stopped answering in the middle of a run."""


class ConfigurationError(MMSubtypeError, ValueError):
    """A request cannot be carried out as written."""


class MissingDependencyError(MMSubtypeError, ImportError):
    """An optional library is needed and absent."""


class JobCancelled(MMSubtypeError):  # noqa: N818 - cancelling is not an error
    """The user stopped the job."""
