"""The AWS provider: STS sessions that fit the task, end on the second, and are seen to be refused."""

from countersign.providers.aws.provider import AwsProvider
from countersign.providers.aws.sessions import preview
from countersign.providers.aws.settings import AwsPrincipal, AwsSettings

__all__ = ["AwsPrincipal", "AwsProvider", "AwsSettings", "preview"]
