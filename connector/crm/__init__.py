"""The CRMs that the product can work with."""

from connector.crm.registry import CRMS, CrmAdapter

__all__ = ["CRMS", "CrmAdapter"]
