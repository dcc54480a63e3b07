"""What happens in a gallery, handed to message brokers and web servers; see ``identities.delivery.Subscriber``."""

from reidstream.brokers.targets import Target, subscriber_of

__all__ = ["Target", "subscriber_of"]
