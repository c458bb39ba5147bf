"""The structure of the messages that are read and written here, in our own words; ``structure.py`` has the notation.

Sources: the message definition reports of ISO 20022 (www.iso20022.org), as the names and orders that public
implementations generate from them show: *Payments Initiation* (pain.001.001.09, CustomerCreditTransferInitiationV09),
*Bank-to-Customer Cash Management* (camt.054.001.08, BankToCustomerDebitCreditNotificationV08), *Factoring Services* of
the Association française des sociétés financières (tsin.006.001.01, InvoiceAssignmentRequestV01, and tsin.008.001.01,
InvoiceAssignmentNotificationV01). Not to be mixed up with the *Invoice Financing Request* set, whose messages are
tsin.001 to tsin.003 and which asks for credit without assigning anything.
"""

from finance.iso20022 import factoring_shapes
from finance.iso20022.structure import read_table

PAIN_001 = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
CAMT_054 = "urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"
TSIN_006 = "urn:iso:std:iso:20022:tech:xsd:tsin.006.001.01"
TSIN_008 = "urn:iso:std:iso:20022:tech:xsd:tsin.008.001.01"

# ------------------------------------------------------------------------------------- shared by pain and camt

_PARTY = """
Nm ? Max140Text
PstlAdr ? ...
Id ?
  | OrgId
    AnyBIC ? BIC
    LEI ? Max20Text
    Othr * @OtherId
  | PrvtId ...
CtryOfRes ? CountryCode
CtctDtls ? ...
"""

_OTHER_ID = """
Id Max35Text
SchmeNm ?
  | Cd External4Code
  | Prtry Max35Text
Issr ? Max35Text
"""

_ACCOUNT = """
Id
  | IBAN IBAN2007Identifier
  | Othr
    Id Max34Text
    SchmeNm ?
      | Cd External4Code
      | Prtry Max35Text
    Issr ? Max35Text
Tp ? ...
Ccy ? CurrencyCode
Nm ? Max70Text
Prxy ? ...
"""

_AGENT = """
FinInstnId
  BICFI ? BIC
  ClrSysMmbId ?
    ClrSysId ?
      | Cd External5Code
      | Prtry Max35Text
    MmbId Max35Text
  LEI ? Max20Text
  Nm ? Max140Text
  PstlAdr ? ...
  Othr ? ...
BrnchId ? ...
"""

_REMITTANCE = """
Ustrd * Max140Text
Strd *
  RfrdDocInf * ...
  RfrdDocAmt ? ...
  CdtrRefInf ?
    Tp ?
      CdOrPrtry
        | Cd Max4Text
        | Prtry Max35Text
      Issr ? Max35Text
    Ref ? Max35Text
  Invcr ? ...
  Invcee ? ...
  TaxRmt ? ...
  GrnshmtRmt ? ...
  AddtlRmtInf * Max140Text
"""

_DAY = """
| Dt ISODate
| DtTm ISODateTime
"""

# ------------------------------------------------------------------------------------------------- pain.001

_PAIN_001 = """
CstmrCdtTrfInitn
  GrpHdr
    MsgId Max35Text
    CreDtTm ISODateTime
    Authstn * ...
    NbOfTxs Max15NumericText
    CtrlSum ? DecimalNumber
    InitgPty @Party
    FwdgAgt ? @Agent
  PmtInf +
    PmtInfId Max35Text
    PmtMtd PaymentMethod3Code
    BtchBookg ? Indicator
    NbOfTxs ? Max15NumericText
    CtrlSum ? DecimalNumber
    PmtTpInf ?
      InstrPrty ? Priority2Code
      SvcLvl * ...
      LclInstrm ? ...
      CtgyPurp ?
        | Cd External4Code
        | Prtry Max35Text
    ReqdExctnDt @Day
    PoolgAdjstmntDt ? ISODate
    Dbtr @Party
    DbtrAcct @Account
    DbtrAgt @Agent
    DbtrAgtAcct ? @Account
    InstrForDbtrAgt ? Max140Text
    UltmtDbtr ? @Party
    ChrgBr ? ChargeBearerType1Code
    ChrgsAcct ? @Account
    ChrgsAcctAgt ? @Agent
    CdtTrfTxInf +
      PmtId
        InstrId ? Max35Text
        EndToEndId Max35Text
        UETR ? UUIDv4Identifier
      PmtTpInf ? ...
      Amt
        | InstdAmt Amount
        | EqvtAmt ...
      XchgRateInf ? ...
      ChrgBr ? ChargeBearerType1Code
      MndtRltdInf ? ...
      ChqInstr ? ...
      UltmtDbtr ? @Party
      IntrmyAgt1 ? @Agent
      IntrmyAgt1Acct ? @Account
      IntrmyAgt2 ? @Agent
      IntrmyAgt2Acct ? @Account
      IntrmyAgt3 ? @Agent
      IntrmyAgt3Acct ? @Account
      CdtrAgt ? @Agent
      CdtrAgtAcct ? @Account
      Cdtr ? @Party
      CdtrAcct ? @Account
      UltmtCdtr ? @Party
      InstrForCdtrAgt * ...
      InstrForDbtrAgt ? ...
      Purp ?
        | Cd External4Code
        | Prtry Max35Text
      RgltryRptg * ...
      Tax ? ...
      RltdRmtInf * ...
      RmtInf ? @Remittance
      SplmtryData * ...
  SplmtryData * ...
"""

# ------------------------------------------------------------------------------------------------- camt.054

_CAMT_054 = """
BkToCstmrDbtCdtNtfctn
  GrpHdr
    MsgId Max35Text
    CreDtTm ISODateTime
    MsgRcpt ? @Party
    MsgPgntn ? ...
    OrgnlBizQry ? ...
    AddtlInf ? Max500Text
  Ntfctn +
    Id Max35Text
    NtfctnPgntn ? ...
    ElctrncSeqNb ? DecimalNumber
    RptgSeq ? ...
    LglSeqNb ? DecimalNumber
    CreDtTm ? ISODateTime
    FrToDt ? ...
    CpyDplctInd ? Max4Text
    RptgSrc ? ...
    Acct
      Id
        | IBAN IBAN2007Identifier
        | Othr
          Id Max34Text
          SchmeNm ? ...
          Issr ? Max35Text
      Tp ? ...
      Ccy ? CurrencyCode
      Nm ? Max70Text
      Prxy ? ...
      Ownr ? @Party
      Svcr ? @Agent
    RltdAcct ? @Account
    Intrst * ...
    TxsSummry ?
      TtlNtries ? ...
      TtlCdtNtries ?
        NbOfNtries ? Max15NumericText
        Sum ? DecimalNumber
      TtlDbtNtries ? ...
      TtlNtriesPerBkTxCd * ...
    Ntry *
      NtryRef ? Max35Text
      Amt Amount
      CdtDbtInd CreditDebitCode
      RvslInd ? Indicator
      Sts
        | Cd External4Code
        | Prtry Max35Text
      BookgDt ? @Day
      ValDt ? @Day
      AcctSvcrRef ? Max35Text
      Avlbty * ...
      BkTxCd @TransactionCode
      ComssnWvrInd ? Indicator
      AddtlInfInd ? ...
      AmtDtls ? ...
      Chrgs ? ...
      TechInptChanl ? ...
      Intrst ? ...
      CardTx ? ...
      NtryDtls *
        Btch ? ...
        TxDtls *
          Refs ? @References
          Amt ? Amount
          CdtDbtInd ? CreditDebitCode
          AmtDtls ? ...
          Avlbty * ...
          BkTxCd ? @TransactionCode
          Chrgs ? ...
          Intrst ? ...
          RltdPties ?
            InitgPty ? @PartyOrAgent
            Dbtr ? @PartyOrAgent
            DbtrAcct ? @Account
            UltmtDbtr ? @PartyOrAgent
            Cdtr ? @PartyOrAgent
            CdtrAcct ? @Account
            UltmtCdtr ? @PartyOrAgent
            TradgPty ? @PartyOrAgent
            Prtry * ...
          RltdAgts ? ...
          LclInstrm ? ...
          Purp ? ...
          RltdRmtInf * ...
          RmtInf ? @Remittance
          RltdDts ? ...
          RltdPric ? ...
          RltdQties * ...
          FinInstrmId ? ...
          Tax ? ...
          RtrInf ? ...
          CorpActn ? ...
          SfkpgAcct ? ...
          CshDpst * ...
          CardTx ? ...
          AddtlTxInf ? Max500Text
          SplmtryData * ...
      AddtlNtryInf ? Max500Text
    AddtlNtfctnInf ? Max500Text
  SplmtryData * ...
"""

_REFERENCES = """
MsgId ? Max35Text
AcctSvcrRef ? Max35Text
PmtInfId ? Max35Text
InstrId ? Max35Text
EndToEndId ? Max35Text
UETR ? UUIDv4Identifier
TxId ? Max35Text
MndtId ? Max35Text
ChqNb ? Max35Text
ClrSysRef ? Max35Text
AcctOwnrTxId ? Max35Text
AcctSvcrTxId ? Max35Text
MktInfrstrctrTxId ? Max35Text
PrcgId ? Max35Text
Prtry * ...
"""

_TRANSACTION_CODE = """
Domn ?
  Cd External4Code
  Fmly
    Cd External4Code
    SubFmlyCd External4Code
Prtry ?
  Cd Max35Text
  Issr ? Max35Text
"""

_PARTY_OR_AGENT = """
| Pty @Party
| Agt @Agent
"""

SHAPES = {
    name: read_table(table)
    for name, table in {
        "Party": _PARTY,
        "OtherId": _OTHER_ID,
        "Account": _ACCOUNT,
        "Agent": _AGENT,
        "Remittance": _REMITTANCE,
        "Day": _DAY,
        "References": _REFERENCES,
        "PartyOrAgent": _PARTY_OR_AGENT,
        "TransactionCode": _TRANSACTION_CODE,
        "Letter": factoring_shapes.LETTER,
        "Document": factoring_shapes.DOCUMENT,
        "QualifiedParty": factoring_shapes.QUALIFIED_PARTY,
        "ItemList": factoring_shapes.ITEM_LIST,
        "AccountId": factoring_shapes.ACCOUNT_ID,
    }.items()
}
"""Tables that others refer to."""

MESSAGES = {
    PAIN_001: read_table(_PAIN_001),
    CAMT_054: read_table(_CAMT_054),
    TSIN_006: read_table(
        factoring_shapes.ASSIGNMENT.format(message="InvcAssgnmtReq", list="AssgnmtList", count="AssgnmtCnt")
    ),
    TSIN_008: read_table(
        factoring_shapes.ASSIGNMENT.format(message="InvcAssgnmtNtfctn", list="NtfctnList", count="NtfctnCnt")
    ),
}
"""What a document of each namespace holds."""
