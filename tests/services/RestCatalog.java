import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.util.Callback;

/**
 * Iceberg's own REST catalog (the servlet of its tests, over its JDBC catalog) on a port of the loopback interface, for
 * those who know its token. Iceberg's own launcher listens on every interface and asks nobody who they are.
 *
 * Arguments: port, token, then the catalog's properties as name=value.
 */
public class RestCatalog {
  public static void main(String[] arguments) throws Exception {
    Map<String, String> properties = new HashMap<>();
    for (int at = 2; at < arguments.length; at++) {
      String[] pair = arguments[at].split("=", 2);
      properties.put(pair[0], pair[1]);
    }
    Catalog catalog = CatalogUtil.buildIcebergCatalog("rest", properties, new Configuration());
    ServletContextHandler servlets = new ServletContextHandler(ServletContextHandler.NO_SESSIONS);
    servlets.addServlet(new ServletHolder(new RESTCatalogServlet(new RESTCatalogAdapter(catalog))), "/*");
    Server server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])));
    server.setHandler(new Guard(servlets, "Bearer " + arguments[1]));
    server.start();
    server.join();
  }

  /** Answers 401, in the form that the specification gives, to whoever does not show the token. */
  static class Guard extends Handler.Wrapper {
    private static final String REFUSED =
        "{\"error\":{\"message\":\"token is not known\",\"type\":\"NotAuthorizedException\",\"code\":401}}";
    private final String expected;

    Guard(Handler guarded, String expected) {
      super(guarded);
      this.expected = expected;
    }

    @Override
    public boolean handle(Request request, Response response, Callback callback) throws Exception {
      if (expected.equals(request.getHeaders().get(HttpHeader.AUTHORIZATION))) {
        return super.handle(request, response, callback);
      }
      response.setStatus(401);
      response.getHeaders().put(HttpHeader.CONTENT_TYPE, "application/json");
      response.write(true, java.nio.ByteBuffer.wrap(REFUSED.getBytes()), callback);
      return true;
    }
  }
}
