"""The corpus's half about files: the shape of records, damage from other programs, workbooks. A line is a sheet.

`@1` to `@9` in a text are accounts. Each sheet has the columns Account, Value and mostly Note; Value is sent.
"""

# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corpus import account
from sheets import open_document, raw_workbook, sheet_xml

MAPPING: Final = "RelatedCompanyId: Account\nActivityEvent: 10001\nFields:\n  mx_Custom_1: {}\n"
TEXT: Final = "{column: Value}"


def with_accounts(text: str) -> str:
    """`@1` written out, and so on."""
    for at in range(1, 10):
        text = text.replace(f"@{at}", account(at))
    return text


@dataclass(frozen=True)
class TextTrap:
    """text: of the file. found, sent: as of `Trap`. name_of_file: its ending says text or tabs."""

    name: str
    text: str
    found: tuple[str, ...]
    sent: tuple[str, ...]
    block: str = TEXT
    name_of_file: str = "sheet.csv"
    encoding: str = "utf-8"
    top: str = ""

    def mapping(self) -> str:
        """The mapping: account, activity type, and one field."""
        return self.top + MAPPING.format(self.block)

    def write(self, folder: Path) -> Path:
        """The sheet as a file."""
        path = folder / self.name_of_file
        path.write_bytes(with_accounts(self.text).encode(self.encoding))
        return path


@dataclass(frozen=True)
class CellTrap:
    """cell: the XML of cell B2 of a workbook, or of an OpenDocument one. codes: number formats by style."""

    name: str
    cell: str
    found: tuple[str, ...]
    sent: tuple[str, ...]
    codes: tuple[str | int, ...] = ("General",)
    block: str = TEXT
    recalculated: bool = False

    def mapping(self) -> str:
        """The mapping: account, activity type, and one field."""
        return MAPPING.format(self.block)

    def write(self, folder: Path) -> Path:
        """The sheet as a file."""
        if "table:" in self.cell:
            return open_document(
                folder / "sheet.ods",
                _ods_row("Account", _ODS_TEXT.format("Value")) + _ods_row(account(1), self.cell),
            )
        head = f"{_XLSX_TEXT.format('A1', 'Account')}{_XLSX_TEXT.format('B1', 'Value')}"
        row = f'<row r="1">{head}</row><row r="2">{_XLSX_TEXT.format("A2", account(1))}{self.cell}</row>'
        return raw_workbook(
            folder / "sheet.xlsx",
            sheet_xml(row),
            codes=self.codes,
            change=_recalculate if self.recalculated else None,
        )


_XLSX_TEXT: Final = '<c r="{}" t="str"><v>{}</v></c>'
_ODS_TEXT: Final = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'


def _recalculate(parts: dict[str, str]) -> None:
    asks = '<calcPr fullCalcOnLoad="1"/></workbook>'
    parts["xl/workbook.xml"] = parts["xl/workbook.xml"].replace("</workbook>", asks)


def _ods_row(account_text: str, cell: str) -> str:
    return f"<table:table-row>{_ODS_TEXT.format(account_text)}{cell}</table:table-row>"


RECORDS: Final = (
    # ---- the shape of records
    TextTrap("a comma that is not quoted", "Account,Note,Value\n@1,met, demo,\n@2,,Won\n@3,,\n", ("problem unreadable-row row 2",), ("-", "Won", "")),
    TextTrap("a short row where empty cells are written", "Account,Note,Value\n@1,x,\n@2,y\n", ("problem unreadable-row row 3",), ("", "-")),
    TextTrap("empty cells left out throughout", "Account,Value,Note\n@1,a\n@2\n@3,b,c\n", (), ("a", "", "b")),
    TextTrap("a delimiter behind every row", "Account,Note,Value\n@1,x,a,\n@2,,b,\n@3,,c,\n", (), ("a", "b", "c")),
    TextTrap("CR inside of a row", "Account,Value,Note\r\n@1,met\rowner,x\r\n@2,b,\r\n", ("problem unreadable-row row 2 row 3",), ("-", "-", "b")),
    TextTrap("LF inside of a row of CR LF", "Account,Value,Note\r\n@1,met\nowner,x\r\n@2,b,\r\n", ("problem unreadable-row row 2 row 3",), ("-", "-", "b")),
    TextTrap("CR CR LF", "Account,Value\r\r\n@1,a\r\r\n@2,b\r\r\n", (), ("a", "b")),
    TextTrap("a note of several lines", 'Account,Value,Note\n@1,a,"Dear Sir,\nthanks, all\n\nRegards, Bob"\n@2,"b\nc",\n', (), ("a", "b\nc")),
    TextTrap("rows inside of a quoted cell", 'Account,Value,Note\n@1,"Urgent,x\n@2,b,y\n@3,24",z\n', ("question rows-swallowed row 2",), (with_accounts("Urgent,x\n@2,b,y\n@3,24"),)),
    TextTrap("quotation marks after a backslash", 'Account,Value,Note,More\n"@1","5\\", 2 m","x",""\n"@2","b","c","d"\n', ("problem unreadable-row row 2",), ("-", "b")),
    TextTrap("quotation marks after a blank", 'Account, Value, Note\n@1, "a, b", x\n@2, c, d\n', ("problem unreadable-row row 2",), ("-", "c")),
    TextTrap("a line quoted as a whole", 'Account,Value,Note\n"@1,""a"",x"\n@2,b,y\n', ("problem unreadable-row row 2",), ("-", "b")),
    TextTrap("a last text cut by a line break", "Account,Value,Note\n@1,a,first line\nand the second\n@2,b,x\n", ("problem unreadable-row row 2 row 3",), ("-", "-", "b")),
    TextTrap("a region's line between rows", "Account,Value,Note\n@1,a,first\nTotal: 1\n@2,b,x\n", ("problem total-row A3",), ("a", "-", "b")),
    TextTrap("lines that part the rows", "Account,Value,Note\nNorth\n@1,a,first\nSouth\n@2,b,x\n", ("problem not-an-id A2 A4",), ("-", "a", "-", "b")),
    TextTrap("a comma escaped by a backslash", "Account,Note,Value\n@1,met\\, again,Won\n@2,x,Lost\n", ("problem unreadable-row row 2",), ("-", "Lost")),
    TextTrap("folders before a comma", "Account,Note,Value\n@1,C:\\new\\,Won\n", (), ("Won",)),
    TextTrap("a file that ends in a row", "Account,Value,Note\n@1,a,x\n@2,b,y\n@3,c,z\n@4,d", ("problem unreadable-row row 5",), ("a", "b", "c", "-")),
    TextTrap("rows of another delimiter", "Account,Value,Note\n@1;a;x\n@2,b,y\n", ("problem unreadable-row row 2",), ("-", "b")),
    TextTrap("lines of dashes in a list of SAP", "------\n|Account|Note|Value|\n------\n|@1|x|a|\n|@2|y|b|\n------\n", ("problem footer-row B3 B6",), ("-", "a", "b", "-"), top="header_row: 2\n"),
    TextTrap("frames of a database's table", "+------+------+\n| Account | Value |\n+------+------+\n| @1 | a |\n+------+------+\n", ("problem footer-row B3 B5",), ("-", "a", "-"), top="header_row: 2\n"),
    TextTrap("a table of PostgreSQL's terminal", " Account | Value \n---------+-------\n @1 | a\n(1 row)\n\n", ("problem footer-row A2 A4",), ("-", "a", "-")),
    TextTrap("content right of the headings", "Account,Value\n@1,a,b\n@2,c\n", ("problem unreadable-row row 2",), ("-", "c")),
    TextTrap("a report's footer", "Account,Value,Note\n@1,a,\n@2,b,\nTotal,2\n", ("problem total-row A4",), ("a", "b", "-")),
    TextTrap("checkboxes below the data", "Account,Value,Done\n@1,a,TRUE\n,,FALSE\n,,FALSE\n", ("notice only-checkboxes the sheet",), ("a",)),
    # ---- damage in text files
    TextTrap("a text guarded by a formula", 'Account,Value\n@1,="00417"\n@2,"=""a b"""\n', ("notice text-formula B2 B3",), ("00417", "a b")),
    TextTrap("formulas in a text file", 'Account,Value\n@1,"=HYPERLINK(""https://x"",""y"")"\n@2,=A1*2\n@3,=+919876500001\n@4,=> called\n@5,== new ==\n', ("notice formula B2 B3 B4",), ('=HYPERLINK("https://x","y")', "=A1*2", "=+919876500001", "=> called", "== new ==")),
    TextTrap("a long number cut short", "Account,Value\n@1,9.19877E+11\n@2,1E5\n", ("problem unusable-cell B2",), ("-", "1E5")),
    TextTrap("an error value", "Account,Value\n@1,#N/A\n@2,NA\n", ("problem unusable-cell B2",), ("-", "NA")),
    TextTrap("what Google Sheets was still loading", "Account,Value\n@1,Loading...\n@2,Loading dock\n", ("problem unusable-cell B2",), ("-", "Loading dock")),
    TextTrap("an error value nobody maps", "Account,Value,Note\n@1,a,#N/A\n", (), ("a",)),
    TextTrap("an error value of another language", "Account,Value\n@1,#ЗНАЧ!\n@2,#WAARDE!\n", ("problem unusable-cell B2", "problem unusable-cell B3"), ("-", "-")),
    TextTrap("a small number cut short", "Account,Value\n@1,1.52E-05\n@2,E-05\n@3,1.5E-25\n", ("problem unusable-cell B2 B4",), ("-", "E-05", "-")),
    TextTrap("a long number as R writes it", "Account,Value\n@1,9.19877e+11\n@2,1e5\n", ("notice lost-characters B2",), ("9.19877e+11", "1e5")),
    TextTrap("a great number in a number field", "Account,Value\n@1,1.2e+16\n", (), ("12000000000000000",), "{column: Value, type: number}"),
    TextTrap("letters that became question marks", "Account,Value\n@1,???? ???\n@2,what??\n", ("notice lost-characters B2",), ("???? ???", "what??")),
    TextTrap("a column too narrow", "Account,Value\n@1,########\n@2,#1\n", ("problem unusable-cell B2",), ("-", "#1")),
    TextTrap("an apostrophe", "Account,Value\n@1,'00417\n@2,it's\n", ("notice guarding-apostrophe B2",), ("'00417", "it's")),
    TextTrap("a database's nothing", "Account,Value\n@1,NULL\n@2,\\N\n@3,null\n", ("notice database-null B2 B3",), ("NULL", "\\N", "null")),
    TextTrap("a database's nothing, translated", "Account,Value\n@1,NULL\n", (), ("",), '{column: Value, values: {NULL: ""}}'),
    TextTrap("codes that became decimals", "Account,Value\n@1,417.0\n@2,\n@3,99.0\n", ("notice point-zero B2 B4",), ("417.0", "", "99.0")),
    TextTrap("codes that became decimals beside pandas' nothing", "Account,Value\n@1,417.0\n@2,nan\n@3,99.0\n", ("notice database-null B3", "notice point-zero B2 B4"), ("417.0", "nan", "99.0")),
    TextTrap("amounts that end in .0", "Account,Value\n@1,417.0\n@2,99.0\n", (), ("417.0", "99.0"), "{column: Value, type: number}"),
    TextTrap("text in a wrong encoding", "Account,Value\n@1,MÃ¼ller\n@2,Müller\n", ("notice wrong-encoding B2",), ("MÃ¼ller", "Müller")),
    TextTrap("text read as Mac Roman", "Account,Value\n@1,M√ºller\n@2,it‚Äôs\n@3,√2\n", ("notice wrong-encoding B2 B3",), ("M√ºller", "it‚Äôs", "√2")),
    TextTrap("text read in a DOS code page", "Account,Value\n@1,M├╝ller\n@2,itΓÇÖs\n", ("notice wrong-encoding B2 B3",), ("M├╝ller", "itΓÇÖs")),
    TextTrap("FileMaker's line break", "Account,Value\n@1,a\x0bb\n", ("notice vertical-tab B2",), ("a\nb",)),
    TextTrap("a cell beyond any limit", f"Account,Value\n@1,{'x' * 140_000}\n@2,b\n", ("problem unusable-cell B2",), ("-", "b")),
    # ---- encodings, ends and delimiters
    TextTrap("Ctrl-Z at the end", "Account,Value\r\n@1,a\r\n\x1a", (), ("a",)),
    TextTrap("two byte order marks", "\ufeff\ufeffAccount,Value\n@1,ü\n", (), ("ü",)),
    TextTrap("UTF-32", "\ufeffAccount,Value\n@1,ü\n", (), ("ü",), encoding="utf-32-le"),
    TextTrap("a padded sep line", "sep=;;;\nAccount;Value;Note\n@1;a;b\n", (), ("a",)),
    TextTrap("tabs", "Account\tValue\n@1\ta, b\n", (), ("a, b",), name_of_file="sheet.tsv"),
)  # fmt: skip

CELLS: Final = (
    # ---- workbooks
    CellTrap("zeros of a format", '<c r="B2" s="1"><v>417</v></c>', (), ("00417",), ("General", "00000")),
    CellTrap("decimal places of a format", '<c r="B2" s="1"><v>5</v></c>', (), ("5.00",), ("General", "0.00")),
    CellTrap("thousands of a format", '<c r="B2" s="1"><v>1234.5</v></c>', (), ("1,234.50",), ("General", "#,##0.00")),
    CellTrap("a number field takes the number", '<c r="B2" s="1"><v>1234.5</v></c>', (), ("1234.5",), ("General", "#,##0.00"), "{column: Value, type: number}"),
    CellTrap("a whole number by its format only", '<c r="B2" s="1"><v>5.4</v></c>', ("problem not-whole B2",), ("-",), ("General", "0"), "{column: Value, type: integer}"),
    CellTrap("a plus sign of a format", '<c r="B2" s="1"><v>919876500001</v></c>', (), ("+919876500001",), ("General", "\\+0")),
    CellTrap("words of a format", '<c r="B2" s="1"><v>7</v></c>', (), ("INV-7",), ("General", '"INV-"0')),
    CellTrap("a zero that a format puts before the digits", '<c r="B2" s="1"><v>9876543210</v></c>', (), ("09876543210",), ("General", '"0"##########')),
    CellTrap("a number sign that a format puts before the digits", '<c r="B2" s="1"><v>5</v></c>', (), ("#5",), ("General", "\\#0")),
    CellTrap("digits of another script", '<c r="B2" s="1"><v>5</v></c>', ("notice number-format B2",), ("5",), ("General", "[$-4000439]0")),
    CellTrap("a format that shows nothing of zero", '<c r="B2" s="1"><v>0</v></c>', ("notice unseen-value B2",), ("0",), ("General", "#,###")),
    CellTrap("words that a format puts behind a text", '<c r="B2" s="1" t="str"><v>5</v></c>', (), ("5 kg",), ("General", '@" kg"')),
    CellTrap("a duration in hours and minutes", '<c r="B2" s="1"><v>1.5</v></c>', (), ("36:00:00",), ("General", "[h]:mm")),
    CellTrap("a duration in minutes", '<c r="B2" s="1"><v>1.5</v></c>', ("notice number-format B2",), ("36:00:00",), ("General", "[mm]")),
    CellTrap("words for numbers", '<c r="B2" s="1"><v>0</v></c>', (), ("No",), ("General", '"Yes";;"No"')),
    CellTrap("a format with conditions", '<c r="B2" s="1"><v>5551234</v></c>', ("notice number-format B2",), ("5551234",), ("General", "[<=9999999]###-####;(###) ###-####")),
    CellTrap("words for numbers below a limit", '<c r="B2" s="1"><v>-3</v></c>', ("notice number-format B2",), ("-3",), ("General", '[<0]"loss";"profit"')),
    CellTrap("a place behind one that is always shown", '<c r="B2" s="1"><v>5</v></c>', ("notice number-format B2",), ("5",), ("General", "0#")),
    CellTrap("a percentage", '<c r="B2" s="1"><v>0.25</v></c>', ("notice shown-as-percent B2",), ("0.25",), ("General", "0%")),
    CellTrap("a format that hides", '<c r="B2" s="1"><v>5</v></c>', ("notice unseen-value B2",), ("5",), ("General", ";;;")),
    CellTrap("16 digits", '<c r="B2"><v>4111111111111111</v></c>', ("problem unusable-cell B2",), ("-",)),
    CellTrap("an error", '<c r="B2" t="e"><v>#REF!</v></c>', ("problem unusable-cell B2",), ("-",)),
    CellTrap("an error as a text", '<c r="B2" t="str"><v>#N/A</v></c>', ("problem unusable-cell B2",), ("-",)),
    CellTrap("a database's nothing in a workbook", '<c r="B2" t="str"><v>NULL</v></c>', ("notice database-null B2",), ("NULL",)),
    CellTrap("a wrong encoding in a workbook", '<c r="B2" t="str"><v>MÃ¼ller</v></c>', ("notice wrong-encoding B2",), ("MÃ¼ller",)),
    CellTrap("a guarded text in a workbook is seen as it is", '<c r="B2" t="str"><v>="00417"</v></c>', (), ('="00417"',)),
    CellTrap("a picture", '<c r="B2" t="e" vm="1"><v>#VALUE!</v></c>', ("problem unusable-cell B2",), ("-",)),
    CellTrap("a formula never calculated", '<c r="B2"><f>1+1</f></c>', ("problem unusable-cell B2",), ("-",)),
    CellTrap("a formula to be calculated again", '<c r="B2"><f>1+1</f><v>0</v></c>', ("question not-recalculated B2",), ("0",), recalculated=True),
    CellTrap("a formula to be calculated again in a total", '<c r="B2"><v>5</v></c></row><row r="3"><c r="A3" t="str"><v>Ergebnis</v></c><c r="B3"><f>SUBTOTAL(109,B2:B2)</f><v>5</v></c>', ("problem total-row A3",), ("5", "-"), recalculated=True),
    CellTrap("a total without a word for it", '<c r="B2"><v>5</v></c></row><row r="3"><c r="B3"><f>SUM(B2:B2)</f><v>5</v></c>', ("problem total-row A3",), ("5", "-")),
    CellTrap("a formula that is calculated", '<c r="B2"><f>1+1</f><v>2</v></c>', (), ("2",)),
    CellTrap("an inline text without its tags", '<c r="B2" t="inlineStr"><v>Won</v></c>', (), ("Won",)),
    CellTrap("an inline text in a cell of another type", '<c r="B2"><is><t>Won</t></is></c>', (), ("Won",)),
    CellTrap("a minus sign in red", '<c r="B2" s="1"><v>-5.5</v></c>', (), ("-5.5",), ("General", "General;[Red]-General"), "{column: Value, type: number}"),
    CellTrap("a date of Thai Excel", '<c r="B2" s="1"><v>46234</v></c>', (), ("2026-07-31",), ("General", 71), "{column: Value, type: date}"),
    CellTrap("a text that is crossed out in part", '<c r="B2" t="inlineStr"><is><r><rPr><strike/></rPr><t>Won</t></r><r><rPr><b/></rPr><t xml:space="preserve"> Lost</t></r></is></c>', ("notice crossed-out B2",), ("Won Lost",)),
    CellTrap("a text in several colours", '<c r="B2" t="inlineStr"><is><r><t>Won</t></r><r><rPr><b/></rPr><t xml:space="preserve"> big</t></r></is></c>', (), ("Won big",)),
    CellTrap("a bad date", '<c r="B2" t="d"><v>soon</v></c>', ("problem unreadable-row row 2",), ("-",)),
    CellTrap("true", '<c r="B2" t="b"><v>true</v></c>', (), ("TRUE",)),
    CellTrap("indented", '<c r="B2">\n  <v>\n 5</v>\n</c>', (), ("5",)),
    # ---- OpenDocument
    CellTrap("tabs, blanks and line breaks", '<table:table-cell office:value-type="string"><text:p>a<text:s text:c="2"/>b<text:tab/>c<text:line-break/>d</text:p></table:table-cell>', (), ("a  b\tc\nd",)),
    CellTrap("a comment", '<table:table-cell office:value-type="string"><office:annotation><text:p>no</text:p></office:annotation><text:p>Won</text:p></table:table-cell>', (), ("Won",)),
    CellTrap("a duration", '<table:table-cell office:value-type="time" office:time-value="PT36H05M00S"><text:p>36:05</text:p></table:table-cell>', (), ("36:05:00",)),
    CellTrap("blanks as LibreOffice 24 writes them", '<table:table-cell office:value-type="string" office:string-value="a&#10;b  c"><text:p>a</text:p><text:p>b  c</text:p></table:table-cell>', (), ("a\nb  c",)),
    CellTrap("a duration in minutes in LibreOffice", '<table:table-cell office:value-type="time" office:time-value="-PT36H00M00S"><text:p>-2160</text:p></table:table-cell>', ("notice number-format B2",), ("-36:00:00",)),
    CellTrap("the time of a day and a time in LibreOffice", '<table:table-cell office:value-type="time" office:time-value="PT1109630H05M30S"><text:p>14:05</text:p></table:table-cell>', ("notice date-as-text B2",), ("14:05:30",)),
    CellTrap("the day of a day and a time in LibreOffice", '<table:table-cell office:value-type="time" office:time-value="PT1109630H05M30S"><text:p>2:05 PM</text:p></table:table-cell>', (), ("2026-07-31 08:35:30",), block="{column: Value, type: datetime, timezone: Asia/Kolkata}"),
    CellTrap("twelve digits in LibreOffice", '<table:table-cell office:value-type="float" office:value="919876543210"><text:p>919876543210</text:p></table:table-cell>', (), ("919876543210",)),
    CellTrap("a sign that LibreOffice does not show", '<table:table-cell office:value-type="float" office:value="-5"><text:p>5</text:p></table:table-cell>', ("notice number-format B2",), ("-5",)),
    CellTrap("digits of another script in LibreOffice", '<table:table-cell office:value-type="float" office:value="5"><text:p>५</text:p></table:table-cell>', ("notice number-format B2",), ("5",)),
    CellTrap("what LibreOffice shows of a number", '<table:table-cell office:value-type="float" office:value="5"><text:p>5.00</text:p></table:table-cell>', (), ("5.00",)),
    CellTrap("TRUE as LibreOffice writes it", '<table:table-cell office:value-type="float" office:value="1" table:formula="of:=TRUE()"><text:p>TRUE</text:p></table:table-cell>', (), ("TRUE",)),
    CellTrap("TRUE for a yes or no field", '<table:table-cell office:value-type="float" office:value="1" table:formula="of:=TRUE()"><text:p>TRUE</text:p></table:table-cell>', (), ("true",), block="{column: Value, type: boolean}"),
    CellTrap("a word for a number in LibreOffice", '<table:table-cell office:value-type="float" office:value="1"><text:p>Yes</text:p></table:table-cell>', (), ("Yes",)),
    CellTrap("India's groups in LibreOffice", '<table:table-cell office:value-type="float" office:value="1275000"><text:p>12,75,000</text:p></table:table-cell>', (), ("12,75,000",)),
    CellTrap("a telephone number in LibreOffice", '<table:table-cell office:value-type="float" office:value="919876543210"><text:p>+91 98765 43210</text:p></table:table-cell>', (), ("+91 98765 43210",)),
    CellTrap("a format with conditions in LibreOffice", '<table:table-cell office:value-type="float" office:value="5551234"><text:p>555-1234</text:p></table:table-cell>', ("notice number-format B2",), ("5551234",)),
    CellTrap("a number that LibreOffice hides", '<table:table-cell office:value-type="float" office:value="5"><text:p/></table:table-cell>', ("notice unseen-value B2",), ("5",)),
    CellTrap("a number without its text", '<table:table-cell office:value-type="float" office:value="5"/>', (), ("5",)),
    CellTrap("an error in LibreOffice", '<table:table-cell table:formula="of:=1/0" calcext:value-type="error" office:value-type="string"><text:p>#DIV/0!</text:p></table:table-cell>', ("problem unusable-cell B2",), ("-",)),
)  # fmt: skip
