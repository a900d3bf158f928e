"""Every table of every package, declared on `foundation.database.metadata` by being imported."""

import certificates.models
import exchange.models
import foundation.jobs
import idp.models
import keys.models
import ledger.models
import signing.models

__all__ = ["certificates", "exchange", "foundation", "idp", "keys", "ledger", "signing"]
