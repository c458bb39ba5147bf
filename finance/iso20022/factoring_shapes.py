"""The tables of tsin.006 and tsin.008, see ``shapes.py``: a letter's head, and lists of items that are assigned."""

LETTER = """
ApplCntxt ? Max35Text
LttrIdr @Document
Dt ISODate
RltdLttr * @Document
RltdMsg * @Document
CnttIdr * Max35Text
InstrPrty ? Max4Text
Orgtr @QualifiedParty
PmryRcpt + @QualifiedParty
Sndr * @QualifiedParty
AuthstnUsr + @QualifiedParty
RspnRcpt * @QualifiedParty
CpyRcpt * @QualifiedParty
OthrPty * @QualifiedParty
AssoctdDoc * @Document
GovngCtrct * @Document
LglCntxt * ...
AddtlInf ? Max2000Text
Ntce ? Max350Text
VldtnStsInf ? ...
DgtlSgntr * ...
"""

DOCUMENT = """
Id ID
Issr ? IDREF
ItmListIdr ? Max35Text
ItmIdr ? Max35Text
Dt ? ISODate
Vrsn ? Max6Text
ElctrncOrgnl Indicator
Dgst * ...
DocTp ? External4Code
URL ? Max2048Text
AttchdFile * ...
"""

QUALIFIED_PARTY = """
Id ID
Pty +
  BasePty
    PtyId
      Id ?
        | OrgId
          BIC ? BIC
          Othr * @OtherId
        | PrvtId ...
      Nm ? Max35Text
      PstlAdr ? ...
      CtryOfRes ? CountryCode
      CtctDtls * ...
    LglOrg ?
      Id ? Max35Text
      Nm ? Max140Text
    TaxPty *
      TaxId ? Max35Text
      TaxTp ? Max35Text
      RegnId ? Max35Text
      TaxXmptnRsn * ...
  RltvIdr * Max35Text
ShrtId ? ...
Role ? ...
RoleDesc ? Max256Text
"""

ITEM_LIST = """
Idr Max35Text
IsseDt ISODate
RltdDoc * IDREF
AmtCutOffDt ? ISODate
Assgne IDREF
Assgnr IDREF
NtfctnInf *
  NtifngPty IDREF
  NtfctnRcvr IDREF
  AckRcvr * IDREF
FinItm *
  ItmCntxt
    Idr Max35Text
    IsseDt ISODate
    RltdItm * IDREF
    DocPurp ? External4Code
    LangCd ? Max4Text
    Issr ? IDREF
    Rcpt ? IDREF
    Buyr ? IDREF
    Sellr ? IDREF
    SellrFinAgt ? IDREF
    BuyrFinAgt ? IDREF
    GovngCtrct * IDREF
    LglCntxt ? IDREF
    Ccy ? CurrencyCode
    DbtAcct ? @AccountId
    CdtAcct ? @AccountId
    TradMkt ? ...
  FinDocRef * IDREF
  CdtDbtInd CreditDebitCode
  TtlAmt
    TtlTaxblAmt Amount
    TtlTaxAmt Amount
    Adjstmnt ? ...
    TtlInvcAmt Amount
    PmtDueDt ISODate
  DueAmt ? Amount
  InstlmtInf * ...
  AddtlInf ? Max2000Text
  AssoctdDoc * IDREF
  VldtnStsInf ? ...
  FincgSts ? ...
  PrtryDtls ? ...
ItmCnt Max15NumericText
CtrlSum ? DecimalNumber
TtlReqAmt ? Amount
TtlReqFincg ?
  | Amt Amount
  | Rate PercentageRate
AgrdRate ? ...
FincgInstlmt * ...
AddtlInf ? Max2000Text
VldtnStsInf ? ...
FincgSts ? ...
"""

ACCOUNT_ID = """
| IBAN IBAN2007Identifier
| Othr
  Id Max34Text
  SchmeNm ?
    | Cd External4Code
    | Prtry Max35Text
  Issr ? Max35Text
"""

ASSIGNMENT = """
{message}
  Hdr @Letter
  {list} + @ItemList
  {count} ? Max15NumericText
  ItmCnt ? Max15NumericText
  CtrlSum ? DecimalNumber
  AttchdMsg * ...
"""
