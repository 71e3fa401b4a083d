from .video_focalnet import VFLNetNano, VideoFocalNet

__all__ = ['VFLNetNano', 'VideoFocalNet']
