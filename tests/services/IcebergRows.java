import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.OffsetDateTime;
import java.time.temporal.ChronoUnit;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.io.CloseableIterable;

/**
 * Reads a table of prices by Iceberg's Java library and prints its rows and their checksum: the SHA-256 of one line per
 * row, sorted.
 *
 * Arguments: namespace, table, its columns separated by commas, then the catalog's properties as name=value.
 */
public class IcebergRows {
  public static void main(String[] arguments) throws Exception {
    Map<String, String> properties = new HashMap<>();
    for (int at = 3; at < arguments.length; at++) {
      String[] pair = arguments[at].split("=", 2);
      properties.put(pair[0], pair[1]);
    }
    String[] columns = arguments[2].split(",");
    Catalog catalog = CatalogUtil.buildIcebergCatalog("k2", properties, new Configuration());
    Table table = catalog.loadTable(TableIdentifier.of(arguments[0], arguments[1]));
    List<String> lines = new ArrayList<>();
    try (CloseableIterable<Record> rows = IcebergGenerics.read(table).select(columns).build()) {
      for (Record row : rows) {
        List<String> values = new ArrayList<>();
        for (String column : columns) {
          values.add(text(row.getField(column)));
        }
        lines.add(String.join("|", values));
      }
    }
    Collections.sort(lines);
    byte[] all = String.join("\n", lines).getBytes(StandardCharsets.UTF_8);
    byte[] sum = MessageDigest.getInstance("SHA-256").digest(all);
    System.out.println(lines.size() + " " + HexFormat.of().formatHex(sum));
  }

  private static String text(Object value) {
    if (value == null) {
      return "";
    }
    if (value instanceof BigDecimal decimal) {
      return decimal.toPlainString();
    }
    if (value instanceof OffsetDateTime time) {
      return Long.toString(ChronoUnit.MICROS.between(Instant.EPOCH, time.toInstant()));
    }
    return value.toString();
  }
}
